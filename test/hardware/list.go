package main

import "time"

// scenarios is all there is, in the order in which it is played.
func scenarios() []scenario {
	return []scenario{
		{"rig", "the machine itself: lines, chips and probes answer, fail and come back", playRig, 10 * time.Minute},
		{"plain", "an MQTT publish → flash → line cut → power cut → reboot → upstream", playPlain, 10 * time.Minute},
	}
}
