package buffer

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// engineLog brings the engine's own words to the log: warnings and errors as warnings, the rest for debugging.
type engineLog struct{ log *slog.Logger }

func (e engineLog) Errorf(format string, args ...any)   { e.line(slog.LevelWarn, format, args) }
func (e engineLog) Warningf(format string, args ...any) { e.line(slog.LevelWarn, format, args) }
func (e engineLog) Infof(format string, args ...any)    { e.line(slog.LevelDebug, format, args) }

// Debugf drops its line: the engine has several for each commit.
func (e engineLog) Debugf(string, ...any) {}

func (e engineLog) line(level slog.Level, format string, args []any) {
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	e.log.Log(context.Background(), level, "storage engine", "text", strings.TrimSpace(fmt.Sprintf(format, args...)))
}
