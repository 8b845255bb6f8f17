"""How good is the policy on problems it was not trained on?"""
