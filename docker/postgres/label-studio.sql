-- Run once by the PostgreSQL image, when its volume is empty: the database of Label Studio, beside LabelLoop's.
CREATE DATABASE labelstudio;
