// Command onedoor gives every tenant and every network one door to an OpenID
// Provider. Reading starts in package gateway; this package only puts the parts
// together, one file for each command.
package main

func main() {}
