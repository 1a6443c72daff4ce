"""Trained classifiers for those who have no checkout: folders for transformers and for ONNX Runtime."""
