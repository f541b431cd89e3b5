"""Models on decisions that nobody trained them on, and on live traffic: asked, scored, compared.

Called by `train eval` and `train compare`, and by promotions for their evidence.
"""
