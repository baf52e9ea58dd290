"""What `calendarsync onboard` does: reads people from a file, connects their calendars, tells what came of it."""
