"""Images of many classes, and episodes of learning from few of them."""
