"""What calls cost. Read in this order: `cards` (one model's rates), `rates` (the price list), `bill` (whose word counts), `invoice`."""
