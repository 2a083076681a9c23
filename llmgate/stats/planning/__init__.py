"""Before there are data: chances of each verdict, detectable effects, sizes."""
