"""Networks that are Scores: forward(x, sigma) returns grad_x log p_sigma(x), in the shape of x."""
