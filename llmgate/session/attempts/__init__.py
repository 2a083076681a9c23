"""The attempt ledger: which verdicts were given on the same candidate at the same gate, and what pooling needs of them.

key         what makes two runs attempts of one candidate
compact     a record → what deciding on it needs, without words; and back
entry       one attempt, and the chain that entries make
blobs       files named by the digest of what they hold
ledger      the ledger's folder: locked, read, held against its head, added to
note        what stands beside a record, so that its own decision can be taken again from it alone
shared      attempts that MLflow knows
counting    all of it together, round a decision
"""
