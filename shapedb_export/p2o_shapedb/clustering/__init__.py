"""Choose exemplars by k-means on signed distances, and label the other models softly."""
