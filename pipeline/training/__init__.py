"""What every training of weights shares, whatever its step is: the loop, its checkpoint, and the processes that train together."""
