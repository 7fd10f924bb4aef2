// stand-in for a source of NVIDIA's open kernel modules @VERSION@: what is built against the driver looks for this name and a licence
MODULE_LICENSE("Dual MIT/GPL");
