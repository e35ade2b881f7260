"""The language of policy rules: small, typed, total.

Text becomes tokens (`tokens`), tokens a tree (`parse`, `syntax`), the tree closures for one tool
whose arguments have types (`compile`, `types`). There are no loops but the bounded `any`, `all`,
`count` and `sum`, no calls but a fixed set, no I/O and no clock. What cannot be decided raises
`Undecided`, and `and`, `or` and `not` treat it as the third value of Kleene's logic.
"""
