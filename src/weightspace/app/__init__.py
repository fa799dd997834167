"""The app in the browser: audits and comparisons of checkpoints, and the explorer of a zoo.

In: a file that a visitor drops, or the name of a model on the Hugging Face hub, and the text of its
card; or a zoo as one archive. Out: the same page and JSON that the command line writes, shown in
the browser. Promises: each job runs in a process of its own, which has limits and ends when it is
cancelled; nothing in a file is executed; a file is removed when its job has ended, and nobody else
can fetch it; the page loads nothing from elsewhere. It needs the extra `app`; no other room imports
this one but `cli`.
"""
