"""What is done to graphs on their way to a bundle: folding, exact integers, float16."""
