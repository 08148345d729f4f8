"""What several recipes do: train, judge, compare, and show; from arrays and models to figures."""
