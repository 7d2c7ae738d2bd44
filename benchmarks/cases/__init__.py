"""One file a case. Functions that peers send to other processes stand at the top level, so that all can import them."""
