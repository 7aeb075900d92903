package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/buffer"
)

func newLogVerify(v *logVerbs) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read the whole log, and say what is wrong with it",
		Long: `Reads every event and every position of the log and compares them with their checksums; of a stopped gateway every byte of its files too. It
changes nothing, and a running gateway goes on meanwhile. Exit code 0: the log is sound; 1: it is not.`,
		Example:           "  gateway log verify\n  sudo gateway log verify --data-dir /var/lib/gateway --json",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			place, err := v.find(ctx)
			if err != nil {
				return err
			}
			report, err := v.verify(ctx, place)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(v.std.out, report)
			} else {
				_, err = fmt.Fprint(v.std.out, verifyText(place, &report))
			}
			if err == nil && !report.Sound() {
				err = errReported
			}
			return err
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func (v *logVerbs) verify(ctx context.Context, place *logPlace) (gateway.LogReport, error) {
	p := v.progress("looked at", "event")
	defer p.end()
	if place.running() {
		return place.client.Verify(ctx, p.at)
	}
	if !hasLog(place.dir) {
		return gateway.LogReport{}, noLog(place.dir)
	}
	files, err := buffer.Inspect(place.dir)
	if err != nil {
		return files, openError(place.dir, err)
	}
	o, err := v.options(place.dir)
	if err != nil {
		return files, err
	}
	log, err := buffer.Open(readOnly(o))
	var damage *buffer.DamageError
	if errors.As(err, &damage) {
		if len(files.Problems) == 0 {
			files.Problems = []gateway.LogProblem{{Text: damage.Error()}}
		}
		return files, nil
	}
	if err != nil {
		return files, openError(place.dir, err)
	}
	report, err := log.Verify(ctx, p.at)
	report.Problems = append(files.Problems, report.Problems...)
	report.TornTail = files.TornTail
	return report, errors.Join(err, log.Close())
}

// verifyText is a report for people.
func verifyText(place *logPlace, r *gateway.LogReport) string {
	var b strings.Builder
	if r.Blocks > 0 || r.Sound() {
		fmt.Fprintf(&b, "%s right, in %s of %s\n", count(r.Events, "event"), count(r.Blocks, "block"), sizeText(float64(r.Bytes)))
	}
	writeFindings(&b, r)
	switch {
	case r.Sound() && r.TornTail > 0:
		b.WriteString("the log is sound, but for that write\n")
	case r.Sound():
		b.WriteString("the log is sound\n")
	case place.running():
		b.WriteString("the log is damaged: the gateway serves what is right, and makes a gap of what is not when it is read; gateway log repair, with the gateway stopped, searches all files for it\n")
	default:
		fmt.Fprintf(&b, "the log is damaged: gateway log repair --data-dir %s keeps what is right\n", place.dir)
	}
	return b.String()
}

// findingsShown is how many of each kind of finding are listed.
const findingsShown = 20

func writeFindings(b *strings.Builder, r *gateway.LogReport) {
	for i, p := range r.Problems {
		if i == findingsShown {
			fmt.Fprintf(b, "… and %s more; --json has all\n", number(uint64(len(r.Problems)-i)))
			break
		}
		where := p.File
		if where == "" && p.Offset != 0 {
			where = "offset " + number(uint64(p.Offset))
		}
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(b, "%s%s\n", where, printable(p.Text))
	}
	for i := range r.Gone {
		if i == findingsShown {
			fmt.Fprintf(b, "… and %s more; --json has all\n", number(uint64(len(r.Gone)-i)))
			break
		}
		g := &r.Gone[i]
		fmt.Fprintf(b, "gone: %s, offsets %s to %s, received between %s and %s\n", count(g.Count(), "event"),
			number(uint64(g.From)), number(uint64(g.To)), clockTime(g.Since), clockTime(g.Until))
	}
	if r.TornTail > 0 {
		fmt.Fprintf(b, "the newest write, %s, is not whole: it was cut off before anybody was told of it, or it is damaged, which looks the same\n",
			count(uint64(r.TornTail), "byte"))
	}
}

func newLogRepair(v *logVerbs) *cobra.Command {
	var quarantine string
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Make a new log of all that is right in a damaged one",
		Long: `Searches every file of the log of a stopped gateway for what is right, makes a new log of it, and keeps all the old files in the
folder quarantine of the data directory, or below --quarantine where its disk has no room for both. Events that are gone are said with offsets and times, and
each forwarder delivers a gateway.gap event in their place. It can be cut off and repeated. A gateway does this by itself when it
starts on a damaged log; this is for one that cannot, or for a second look.`,
		Example:           "  sudo systemctl stop gateway\n  sudo gateway log repair --data-dir /var/lib/gateway\n  sudo gateway log repair --data-dir /var/lib/gateway --quarantine /media/usb",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			return v.repair(ctx, quarantine, force, asJSON)
		}),
	}
	cmd.Flags().StringVar(&quarantine, "quarantine", "", "the folder below which the old files are kept")
	cmd.Flags().BoolVar(&force, "force", false, "also where nothing is wrong, or nothing is left to be saved")
	addJSON(cmd, &asJSON)
	return cmd
}

func (v *logVerbs) repair(ctx context.Context, quarantine string, force, asJSON bool) error {
	place, err := v.find(ctx)
	if err != nil {
		return err
	}
	if place.running() {
		return fmt.Errorf("the gateway with its data in %s is running: stop it first (sudo systemctl stop gateway); gateway log verify looks at it meanwhile", place.dir)
	}
	if !hasLog(place.dir) {
		return noLog(place.dir)
	}
	if !force {
		found, err := v.verify(ctx, place)
		if err != nil {
			return err
		}
		if found.Sound() {
			_, err := fmt.Fprintf(v.std.out, "nothing is wrong with the log in %s: nothing was changed\n", place.dir)
			return err
		}
	}
	p := v.progress("searched", "byte")
	report, err := buffer.Repair(ctx, buffer.RepairOptions{
		Dir: place.dir, Quarantine: quarantine, Progress: p.at,
		Logger: slog.New(slog.NewTextHandler(v.std.err, &slog.HandlerOptions{Level: slog.LevelError + 1})),
	})
	p.end()
	err = errors.Join(err, giveToOwner(place.dir))
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(v.std.out, report)
	}
	_, err = fmt.Fprint(v.std.out, repairText(&report))
	return err
}

func repairText(r *gateway.LogReport) string {
	var b strings.Builder
	writeFindings(&b, r)
	fmt.Fprintf(&b, "repaired: %s kept, offsets %s to %s; new events have epoch %d\n", count(r.Events, "event"), number(uint64(r.First)), number(uint64(r.Last)), r.Epoch)
	if len(r.Gone) == 0 {
		b.WriteString("nothing that was acknowledged is missing\n")
	}
	fmt.Fprintf(&b, "the old files are in %s: delete them when nobody wants to look at them any more\n", r.Quarantine)
	return b.String()
}
