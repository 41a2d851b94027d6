//! The names of the match fields.

macro_rules! fields {
    ($($variant:ident = $key:literal,)*) => {
        /// The name of a match field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FieldName {
            $(
                #[doc = concat!("`", $key, "`")]
                $variant,
            )*
        }

        impl FieldName {
            /// Every match field, each behind those that its meaning depends on.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The key of the field.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)*
                }
            }
        }
    };
}

fields! {
    Interface = "interface",
    Family = "family",
    Ethertype = "ethertype",
    Vlan = "vlan",
    SrcMac = "src_mac",
    DstMac = "dst_mac",
    Src = "src",
    Dst = "dst",
    Proto = "proto",
    Sport = "sport",
    Dport = "dport",
    TcpFlags = "tcp_flags",
    IcmpType = "icmp_type",
    Length = "length",
    Ttl = "ttl",
    Dscp = "dscp",
    Fragment = "fragment",
}
