"""Questions to a prediction: signatures, spatial statistics, regions, what differs, domains.

Everything is worked out from factors and loadings: sums and cross-products of the factors say
what they say for every gene at once, so no volume of all genes is ever made.
"""
