"""What ours is compared with; each file needs a package of its own."""
