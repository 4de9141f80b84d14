"""The life of one prediction: from what was asked and answered to who operated the platform at that minute.

The core of `mlops trace` and of the auditor's page: `collecting` asks whom it is given, `judging` reads what came.
"""
