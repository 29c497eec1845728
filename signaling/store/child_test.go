// placeholder
package store

func childMain(string) {}
