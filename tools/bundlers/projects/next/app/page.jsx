"use client";

import { useEffect, useState } from "react";
import { describe } from "../describe.js";

export default function Page() {
  const [text, setText] = useState("");
  useEffect(() => {
    describe().then(setText, (error) => setText(`${error.name} ${error.code}: ${error.message}`));
  }, []);
  return text;
}
