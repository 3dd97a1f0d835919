"""The tools that ours is measured against, as their users run them."""
