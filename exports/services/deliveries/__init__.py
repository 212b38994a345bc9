"""What is brought to people and their systems: mails, calls of webhooks, copies of files.

Each is a row, written in the transaction of what it is about (`outbox`), sent afterwards by the control cluster (`sending`, with one module
for each way: `mails`, `hooks`, `copies`). `webhooks`, `destinations` and `links` are where they go; `reading` is for the lists.
"""
