"""Where rows move: reading CSV, carrying out compiled rules, writing reports and rejects."""
