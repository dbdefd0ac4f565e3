"""Learning on without forgetting: what goes beyond replay when a field is trained anew. Nothing is here yet.

What guards against forgetting today is replay: each training starts from the base model and learns from a buffer of
old and new examples, of each label its share (``Settings.replay``, ``tasks.roll.Roll.latest``); what memory knows is
never trained away; and the gate refuses a version that lost a label.

One file for each way belongs here: distillation (a version that serves teaches the next one on texts without labels),
regularisation (weights that mattered may move little), growing architectures (an adapter for each new set of labels
beside the old ones). ``learning.judging.judge`` calls ``tasks.training.train``: a way says what of the training it
changes (where it starts, what its loss adds, which examples it reads) and is chosen there, so that whatever it makes is
judged by the same gate.
"""
