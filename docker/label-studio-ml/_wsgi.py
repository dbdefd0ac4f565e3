from label_studio_ml.api import init_app

from labelloop.label_studio_ml import LabelLoop

app = init_app(model_class=LabelLoop)
