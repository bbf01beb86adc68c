"""The worker: encodes one chunk or one audio track at a time into final CMAF segments."""
