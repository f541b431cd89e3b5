"""`head`: a classifier in this process that answers decisions of a kind it has been proven on, and abstains else.

Called by `operations` and `gateway`; knows no settings and no store. `moment` says what a head sees of a
decision, `model` is a trained head (the standard library alone), `training` makes one (scikit-learn, extra `head`).

    moment = moment_of(prompt, system, Facts(answered=("entity id",)))   # None: not a decision it can read
    verdict = Head.load(path).judge(moment)                              # label None: the baseline is to answer
"""
