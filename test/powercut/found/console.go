package found

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Prefix begins the line with a Found on the guest's console.
const Prefix = "POWERCUT-FOUND "

// OnConsole returns what the guest printed, or false where it has not done so yet.
func OnConsole(text string) (Found, bool, error) {
	_, rest, ok := strings.Cut(text, Prefix)
	line, _, whole := strings.Cut(rest, "\n")
	if !ok || !whole {
		return Found{}, false, nil
	}
	var f Found
	if err := json.Unmarshal([]byte(strings.TrimSpace(line)), &f); err != nil {
		return f, true, fmt.Errorf("the guest's report %.200q: %w", line, err)
	}
	return f, true, nil
}
