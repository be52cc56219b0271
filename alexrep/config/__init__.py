"""What a run is: recipes, their fields in groups, schedules, departures from net 145."""
