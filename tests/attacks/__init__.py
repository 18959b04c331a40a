"""Attacks on the product as code: each module with a function `attack` is a kind of attack.

`attack(random)` makes one mutant, feeds it to the product, and tells whether it was accepted.
It returns False if the product refused it with a `CcaError`, and raises for whatever else happens.
"""
