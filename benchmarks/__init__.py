"""What the tap costs, beside a plain SDK tap, dlt and the bare client, all on one sandbox."""
