"""What ran at which price, what that comes to, what the budget leaves, and what the original provider would charge.

Called by the domains that spend: deploy, guard, train; and by `costs` on the command line.
"""
