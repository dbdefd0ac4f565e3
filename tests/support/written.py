"""A project whose text boxes LabelLoop writes into, and one box that it leaves alone."""

from __future__ import annotations

from support.structure import Item, Sample

WRITTEN = Sample(
    "written",
    """<View>
  <Header value="Article" size="5"/>
  <Text name="article" value="$article"/>
  <Header value="Summary in one sentence" size="5"/>
  <TextArea name="summary" toName="article" rows="2" maxSubmissions="1" editable="true"/>
  <Header value="Headline" size="5"/>
  <Text name="line" value="$line"/>
  <Header value="German translation" size="5"/>
  <TextArea name="translation" toName="line" rows="1" maxSubmissions="1" editable="true"/>
  <Header value="Question" size="5"/>
  <Text name="question" value="$question"/>
  <Header value="Answer in your own words" size="5"/>
  <TextArea name="answer" toName="question" rows="1" maxSubmissions="1" editable="true"/>
  <Header value="Remarks" size="5"/>
  <TextArea name="remarks" toName="article" rows="1" placeholder="What else did you notice?"/>
</View>""",
    ("summary", "translation", "answer"),
    (
        Item(
            {
                "article": "The old bridge over the river was closed on Monday after engineers found cracks in two of "
                "its pillars. The town will repair it over the summer, and until then buses take a longer way through "
                "the village of Marston. The repair will cost about two million pounds.",
                "line": "The old bridge is closed.",
                "question": "Why was the bridge closed?",
            }
        ),
        Item(
            {
                "article": "A bakery in Leeds gives the bread that it has not sold to a shelter each evening. The "
                "owner, Ruth Baker, began with ten loaves a day and now brings about fifty.",
                "line": "The woman gives bread to the people.",
                "question": "Who owns the bakery?",
            }
        ),
    ),
)
KINDS = {"summary": "summarisation", "translation": "translation", "answer": "question_answering"}
