"""What models of ours said in live traffic, read out of the training log: as an answer, as a shadow, or in vain.

Called by what reports on the gateway, compares models online, and promotes them.
"""
