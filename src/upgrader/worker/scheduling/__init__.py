"""When scheduled jobs run, that each tick is fired by one worker alone, and how a run goes."""
