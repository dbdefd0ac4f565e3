from labelloop.label_studio_ml import create_app

app = create_app()
