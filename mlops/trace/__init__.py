"""The life of one prediction: from what was asked and answered to who operated the platform at that minute."""
