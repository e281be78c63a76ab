"""Names of data set configurations, which become folders on disk."""

import hashlib
import json


def settings_digest(settings):
    """A short name for a dictionary of settings.

    Written out, they could exceed what a file system takes as a folder name.
    """
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
