"""How far each model has come into its slot, and why it stayed or went.

Called by the operations that promote, and by the slots that the gateway reads.
"""
