"""A pipeline over three nodes: one reads pages, one takes them apart, one keeps an index of their words."""
