"""Where logs come from that Imperva delivers: a bucket or folder of the customer's, which is listed."""
