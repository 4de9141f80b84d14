"""Watch served models: windows of the prediction log against the profile that was taken when the model was trained."""
