"""What the commands share: text that is safe to print, arguments, streams and signals."""
