"""What of the page is no picture: one file a panel."""
