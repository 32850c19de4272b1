"""A store's records: the contract that an index meets (`contract`), and what all indexes share.

Knows: records, leases. May not know: values, matrices, executors. Indexes themselves are folders here (`sqlite`,
`postgres`); what those of tables share, which is nearly all but their SQL, is `tables`.
"""
