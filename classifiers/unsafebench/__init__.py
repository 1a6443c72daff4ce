"""UnsafeBench's protocol (arXiv 2405.03486) on any labelled set of pictures: construction, effectiveness, robustness, figures."""
